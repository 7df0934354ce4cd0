"""What trainers and tools leave that nothing can be released from yet, by the names of its files.

The first line that fits a folder counts. The commands are those of accelerate 1.15
(``merge-weights``), DeepSpeed 0.18 (``zero_to_fp32``), torch 2.13 (``format_utils``), mlx-lm 0.32
(``fuse``), and of ms-swift's, NeMo's and Megatron Bridge's pages about exporting.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """One line of the table.

    In ``what`` and ``next`` stand ``{mark}``, the file or folder that gave it away; ``{root}``,
    the folder that commands take; ``{out}``, a folder next to it for what they write (both quoted
    for a shell; as Python takes them ``{root_path!r}`` and ``{out_path!r}``); and ``{model}``, what
    ``adapter_config.json`` names as ``model``.

    Attributes:
        name: For tests.
        mark: Regular expression for the name of a file, POSIX and below the folder; the group
            ``where`` is the part of it that commands take.
        also: For the name of another file that has to be there; "" for none.
        what: What it is.
        next: What to type.
        own_config: Whether such a folder often has a ``config.json`` or ``adapter_config.json``.
        weak: Whether it says little: folders inside are looked at first.
    """

    name: str
    mark: str
    what: str
    next: str
    also: str = ""
    own_config: bool = False
    weak: bool = False


_COMPLETE = (
    "put config.json and the tokenizer's files of the base model into {out} (of a LoRA: rename "
    "model.safetensors to adapter_model.safetensors, and add its adapter_config.json), "
    "then: uploader run {out}"
)
_PICKLE = (
    "uploader convert-pickle FILE (of uploader-lora) makes safetensors of it and runs nothing of "
    "it; load those into the model that was trained, and save that: "
    "model.load_state_dict(safetensors.torch.load_file(NEW)); model.save_pretrained(OUT)"
)
_EXPORT = "give the folder of the model or the adapter that it was made from"
_TRAINER = r"(?:optimizer|scheduler|scaler|rng_state|random_states|training_args)[\w.-]*"

TABLE: tuple[Unusable, ...] = (
    Unusable(
        name="release",
        mark=r"upload_manifest\.json",
        what="{root} is a release that uploader made",
        next="uploader verify {root}; to send it, run the command that made it with --to; to make "
        "another format, give the source again",
    ),
    Unusable(
        name="fsdp-shards",
        mark=r"(?P<where>pytorch_model_fsdp_\d+)/[^/]+\.distcp",
        what="{mark} holds a model in FSDP's shards, which are not gathered yet",
        next="accelerate merge-weights {mark} {out}; " + _COMPLETE,
        own_config=True,
    ),
    Unusable(
        name="fsdp-ranks",
        mark=r"pytorch_model_fsdp(?:_\d+)?_rank\d+\.bin",
        what="{mark} is one process's part of a model under FSDP, and only the training can put "
        "the parts together",
        next="resume the training and save the whole: trainer.accelerator.state.fsdp_plugin."
        'set_state_dict_type("FULL_STATE_DICT"); trainer.save_model(OUT)',
        own_config=True,
    ),
    Unusable(
        name="fsdp-full",
        mark=r"pytorch_model_fsdp(?:_\d+)?\.bin",
        what="{mark} is FSDP's full state, a pickle, which can run code when it is opened; it is "
        "not opened here",
        next=_PICKLE,
        own_config=True,
    ),
    Unusable(
        name="deepspeed",
        mark=r"[^/]+/\w*mp_rank_\d+_(?:model|optim)_states\.pt",
        what="{root} is a checkpoint of DeepSpeed ZeRO, whose parts are not gathered yet",
        next="python -m deepspeed.utils.zero_to_fp32 {root} {out} --safe_serialization (or the "
        "zero_to_fp32.py that lies in it, with the same arguments; both open pickles, so only of a "
        "training that you trust); " + _COMPLETE,
        own_config=True,
    ),
    Unusable(
        name="nemo",
        mark=r"[^/]+\.nemo|context/(?:model\.yaml|io\.json)",
        what="{mark} is of a checkpoint of NeMo",
        next="nemo llm export path={root} target=hf output_path={out} (a .nemo file of NeMo 1: its "
        "scripts/checkpoint_converters), then: uploader run {out}",
    ),
    Unusable(
        name="megatron",
        mark=r"latest_checkpointed_iteration\.txt"
        r"|(?:iter_\d+|release)/(?:common\.pt|mp_rank_\d+(?:_\d+)*/[^/]+\.pt)",
        what="{root} is a checkpoint of Megatron",
        next="swift export --mcore_model {root} --to_hf true --output_dir {out} (ms-swift), or "
        "AutoBridge.from_hf_pretrained(BASE).export_ckpt({root_path!r}, {out_path!r}) of Megatron "
        "Bridge, then: uploader run {out}",
        own_config=True,
    ),
    Unusable(
        name="dcp",
        mark=r"(?:(?P<where>(?:policy/)?weights|model|dist_ckpt)/)?[^/]+\.distcp",
        what="{mark} is a checkpoint of torch.distributed, whose parts are not gathered yet",
        next="python -m torch.distributed.checkpoint.format_utils dcp_to_torch {mark} {out}.pt, "
        "load that into the model that was trained, and call save_pretrained (torchtitan and NeMo "
        "RL have converters of their own), then: uploader run OUT",
        own_config=True,
    ),
    Unusable(
        name="mlx-adapter",
        mark=r"(?:\d+_)?adapters\.safetensors",
        what="{root} is an adapter of MLX, which is no PEFT adapter",
        next="mlx_lm.fuse --model {model} --adapter-path {root} --save-path {out} --dequantize, "
        "then: uploader run {out}",
        own_config=True,
    ),
    Unusable(
        name="sentence-transformers",
        mark=r"(?P<where>0_[^/]+)/(?:model\.safetensors|pytorch_model\.bin|config\.json)",
        also=r"modules\.json",
        what="{root} is a model of sentence-transformers in the old layout: its transformer lies "
        "in {mark}, the rest beside it",
        next="in Python, sentence_transformers.SentenceTransformer({root_path!r})"
        ".save_pretrained({out_path!r}); then: uploader run {out}",
        own_config=True,
    ),
    Unusable(
        name="diffusers",
        mark=r"model_index\.json|pytorch_lora_weights\.(?:safetensors|bin)",
        what="{root} is of diffusers; models that make images are not released here",
        next="hf upload USER/NAME {root} sends the folder as it is",
        own_config=True,
    ),
    Unusable(
        name="original",
        mark=r"consolidated(?:\.\d+)?\.(?:pth|safetensors)",
        also=r"params\.json",
        what="{root} holds a model in the layout of its makers (params.json), not in that of "
        "transformers",
        next="take the same model in the layout of transformers, or convert it: transformers 4 has "
        "python -m transformers.models.llama.convert_llama_weights_to_hf, and mistral's",
    ),
    Unusable(
        name="gguf",
        mark=r"[^/]+\.gguf",
        what="{mark} is a finished GGUF file, and nothing else is made from one",
        next=_EXPORT + "; hf upload USER/NAME {root} sends finished files as they are",
        own_config=True,
    ),
    Unusable(
        name="export",
        mark=r"(?:onnx/)?[^/]+\.(?:onnx|engine|tflite|litertlm|task|pte|mnn|rkllm)"
        r"|openvino_model\.xml|[^/]+\.mlpackage/.*",
        what="{mark} is an export for one runtime, and nothing else is made from one",
        next=_EXPORT,
        own_config=True,
    ),
    Unusable(
        name="ctranslate2",
        mark=r"model\.bin",
        also=r"(?:shared_)?vocabulary\.(?:json|txt)",
        what="{mark} is an export for CTranslate2, and nothing else is made from one",
        next=_EXPORT,
        own_config=True,
    ),
    Unusable(
        name="other-framework",
        mark=r"tf_model\.h5|flax_model(?:-\d+-of-\d+)?\.msgpack|[^/]+\.(?:h5|keras)",
        what="{mark} holds weights for TensorFlow, Flax or Keras",
        next="transformers 4 converts it: AutoModelForCausalLM.from_pretrained(FOLDER, "
        "from_flax=True) or from_tf=True, then save_pretrained(OUT), then: uploader run OUT",
        own_config=True,
    ),
    Unusable(
        name="pickle",
        mark=rf"(?!{_TRAINER})[^/]+\.(?:bin|ckpt|pth|pt|pkl)",
        what="{mark} is a pickle, which can run code when it is opened; it is not opened here",
        next=_PICKLE,
    ),
    Unusable(
        name="adapter-without-config",
        mark=r"adapter_model(?:-\d+-of-\d+)?\.safetensors",
        what="{mark} is an adapter without its adapter_config.json",
        next="copy adapter_config.json from another checkpoint of the same training into {root}, "
        "or save the adapter again with save_pretrained",
    ),
    Unusable(
        name="weights-without-config",
        mark=r"model(?:-\d+-of-\d+)?\.safetensors",
        what="{mark} is a model without its config.json",
        next="copy config.json and the tokenizer's files of the base model into {root}",
    ),
    Unusable(
        name="other-safetensors",
        mark=r"[^/]+\.safetensors",
        what="{mark} is neither model.safetensors nor adapter_model.safetensors, and no "
        "configuration says what it is",
        next="save the model or the adapter with save_pretrained, and give that folder",
    ),
    Unusable(
        name="failed-save",
        mark=r"generation_config\.json",
        what="{root} has a generation_config.json and neither config.json nor "
        "adapter_config.json: saving it failed half-way",
        next="save it again and read the error that save_pretrained raises; for an adapter of "
        "add_adapter, update peft first, or save it with peft's own save_pretrained",
    ),
    Unusable(
        name="archive",
        mark=r"[^/]+\.(?:zip|tar|tgz|tar\.\w+|7z|rar)",
        what="{mark} is packed",
        next="unpack it, and give the folder with adapter_config.json or config.json",
        weak=True,
    ),
    Unusable(
        name="trainer-state",
        mark=rf"{_TRAINER}|trainer_state\.json|optimizer_\d+/.+",
        what="{root} holds the state of a training ({mark}) and no weights",
        next="take another checkpoint, or the folder that save_model wrote at the end",
        weak=True,
    ),
    Unusable(
        name="tokenizer",
        mark=r"(?:tokenizer|spiece)\.(?:json|model)|tokenizer_config\.json|vocab\.(?:json|txt)",
        what="{root} holds a tokenizer and no weights",
        next="give the folder with the weights; a tokenizer that was saved apart can be copied "
        "into it",
        weak=True,
    ),
)
