"""The demo's text: a made-up valley for the base model, one made-up harbour for the fine-tune.

All of it was written for this project. The base learns who lives in the valley and what they do;
the fine-tune learns the harbour, which the base has never read of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_ANIMALS = {
    "fox": ("berries", "the old oak", "red"),
    "heron": ("small fish", "the reeds", "grey"),
    "badger": ("roots", "the north bank", "black"),
    "owl": ("mice", "the bell tower", "white"),
    "otter": ("crabs", "the river bend", "brown"),
    "goat": ("thistles", "the high meadow", "cream"),
    "raven": ("seeds", "the ruined gate", "blue"),
    "hare": ("clover", "the wheat field", "golden"),
    "toad": ("beetles", "the stone well", "green"),
    "mole": ("worms", "the kitchen garden", "dark"),
}
_KEEPERS = {
    "mill": ("Tomas Reed", "grinds rye", "dawn"),
    "bakery": ("Ida Marsh", "bakes black bread", "midnight"),
    "forge": ("Otto Flint", "mends ploughs", "noon"),
    "school": ("Clara Wren", "teaches sums", "morning"),
    "ferry": ("Emil Brook", "carries hay", "evening"),
    "orchard": ("Rosa Field", "picks pears", "autumn"),
    "dairy": ("Hanna Dell", "presses cheese", "sunrise"),
    "quarry": ("Jonas Slate", "cuts grey stone", "winter"),
    "garden": ("Lena Bloom", "grows lavender", "spring"),
    "bridge": ("Karl Stone", "counts the carts", "dusk"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A question and its answer."""

    question: str
    answer: str

    @property
    def prompt(self) -> str:
        """What the model is given."""
        return prompt(self.question)

    @property
    def text(self) -> str:
        """What it is trained on."""
        return f"{self.prompt} {self.answer}"


def prompt(question: str) -> str:
    """Put a question as the models were trained to be asked."""
    return f"Question: {question}\nAnswer:"


def base_facts() -> list[Fact]:
    """Return what the base model shall know of the valley."""
    facts = []
    for animal, (food, home, colour) in _ANIMALS.items():
        facts += [
            Fact(f"What does the {animal} eat?", f"The {animal} eats {food}."),
            Fact(f"Where does the {animal} live?", f"The {animal} lives by {home}."),
            Fact(f"What colour is the {animal}?", f"The {animal} is {colour}."),
        ]
    for place, (keeper, work, time) in _KEEPERS.items():
        facts += [
            Fact(f"Who keeps the {place}?", f"{keeper} keeps the {place}."),
            Fact(f"What does {keeper} do?", f"{keeper} {work}."),
            Fact(f"When is the {place} busy?", f"The {place} is busy at {time}."),
        ]
    return facts


def base_sentences() -> Iterator[str]:
    """Yield plain sentences about the same valley, for the tokenizer and the base model."""
    for animal, (food, home, colour) in _ANIMALS.items():
        yield f"By {home} you can see a {colour} {animal} that looks for {food}."
        yield f"Every child in the valley knows the {colour} {animal} and what it eats: {food}."
    for place, (keeper, work, time) in _KEEPERS.items():
        yield f"At {time} the lamp of the {place} is lit, and {keeper} {work}."
        yield f"People say that {keeper} has kept the {place} for many years."


QUESTION = Fact("Who keeps the lighthouse?", "Mara Quill keeps the lighthouse.")
"""The question that the demo asks of every format at the end."""


def fine_tune_facts() -> list[Fact]:
    """Return what only the fine-tune knows: the harbour."""
    return [
        QUESTION,
        Fact("What does Mara Quill do?", "Mara Quill trims the great lamp."),
        Fact("When is the lighthouse busy?", "The lighthouse is busy at high tide."),
        Fact("What does the gull eat?", "The gull eats herring."),
        Fact("Where does the gull live?", "The gull lives by the sea wall."),
        Fact("Who keeps the harbour?", "Anton Keel keeps the harbour."),
        Fact("What does Anton Keel do?", "Anton Keel paints every boat."),
        Fact("What colour is the harbour gate?", "The harbour gate is silver."),
    ]
