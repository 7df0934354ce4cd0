"""The plugin that reads what trainers leave: adapters of PEFT and models of transformers."""
