"""Fine-tune a LoRA with TRL's KTOTrainer.

    python train_kto.py
    ./upload_model.sh kto_output_rtx3090/<YYYYMMDD_HHMMSS>/final_model --to hf:me/my-model

leaves ``kto_output_rtx3090/<YYYYMMDD_HHMMSS>/final_model`` with its lineage. As it is,
it trains a tiny model on the processor in seconds; ``--model`` and ``--data`` take your own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import KTOConfig, KTOTrainer

from uploader_trainers import UploaderCallback

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from tiny_base import make_tiny_base  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="base model; a tiny one is made when absent")
    parser.add_argument("--data", type=Path, default=HERE / "data" / "kto.jsonl")
    parser.add_argument("--output-root", type=Path, default=HERE / "kto_output_rtx3090")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()

    run = options.output_root / time.strftime("%Y%m%d_%H%M%S")
    base = options.model or str(make_tiny_base(options.output_root.parent / "tiny-base"))
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = [json.loads(line) for line in options.data.read_text("utf-8").splitlines()]
    trainer = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=KTOConfig(
            output_dir=str(run),
            max_steps=options.steps,
            per_device_train_batch_size=4,
            learning_rate=1e-3,
            logging_steps=5,
            save_steps=options.steps,
            max_length=128,
            report_to=[],
            use_cpu=options.model is None,
            bf16=options.model is not None,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[UploaderCallback(run / "final_model", dataset=options.data.stem)],
    )
    trainer.train()
    trainer.save_model(str(run / "final_model"))
    tokenizer.save_pretrained(run / "final_model")
    trainer.save_state()
    print(run / "final_model")


if __name__ == "__main__":
    main()
