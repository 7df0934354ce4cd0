"""Make a real, tiny fine-tune: ``base/`` and ``run/final_model/`` below a folder.

Used by the tests across packages, and by itself: ``python make_fine_tune.py FOLDER``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from json_files import edit_json

TEXT = [
    "The kingfisher dives into the green river and comes back with a silver fish.",
    "Question: what colour is the river? Answer: green, with a silver edge at noon.",
    "Numbers like 12, 345 and 6789 stand beside words, commas, and (sometimes) brackets.",
    "Ein Satz auf Deutsch, une phrase en français, y una frase en español.",
] * 8


def make_tokenizer(folder: Path) -> int:
    """Train a byte-level BPE tokenizer into a folder and return its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)
    return len(fast)


def make_fine_tune(root: Path, seed: int = 7, rank: int = 8, **shape: int) -> Path:
    """Save a Llama of two layers, or of another shape, and a LoRA on it; return the folder."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    vocabulary = make_tokenizer(root / "base")
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, **shape}
    config = LlamaConfig(
        vocab_size=vocabulary,
        **shape,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    base = LlamaForCausalLM(config).to(torch.bfloat16)
    base.save_pretrained(root / "base")
    model = get_peft_model(
        LlamaForCausalLM.from_pretrained(root / "base"),
        LoraConfig(r=rank, lora_alpha=12, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapter = root / "run" / "final_model"
    model.save_pretrained(adapter)
    make_tokenizer(adapter)
    # Relative to the adapter, so that copies of the whole have the same bytes.
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="../../base")
    return root


if __name__ == "__main__":
    make_fine_tune(Path(sys.argv[1]))
