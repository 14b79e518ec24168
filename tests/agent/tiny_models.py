"""Small random language models with their own tokenizers, as a real model folder would hold them.

    folder = save_tiny_model("qwen3", tmp_path / "qwen3")          # config, safetensors, tokenizer, chat template
    adapter = save_random_adapter(folder, tmp_path / "adapter")    # a LoRA adapter with random weights

Families: `qwen3`, `llama`, `mistral` (chat models), and `compact` (a Qwen3 network without a chat template whose
tokenizer has one token per axis and code, like the embedded model). `gemma` is a tokenizer only. Weights and words
mean nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.index.tiny_encoder import save_bert_model

FAMILIES = ("qwen3", "llama", "mistral")
COMPACT_CODES = tuple(f"C{group}.{digit}" for group in range(15, 45) for digit in range(10))

SENTENCES = (
    "Invasives Mammakarzinom links oben außen, wenig differenziert.",
    "Adenokarzinom des Colon sigmoideum mit Lymphknotenmetastasen.",
    "Verdacht auf Bronchialkarzinom im rechten Oberlappen, kleinzellig.",
    "Zustand nach Operation eines Plattenepithelkarzinoms der Zunge.",
    "Malignes Melanom der Haut am Rücken, Prostatakarzinom, Nierenzellkarzinom.",
    "Nenne den Kode. Antworte nur mit dem Kode: C50.4, C34.1, C18.7, C61, D05.1.",
    "Diagnosetext: «Mammakarzinom» user assistant system ja nein keiner",
)

_CHAT_TEMPLATES = {
    "qwen3": (
        "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}"
        "{%- endif %}{%- endif %}"
    ),
    "llama": (
        "{{- bos_token }}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n"
        "Today Date: 26 Jul 2024\\n\\n<|eot_id|>' }}{%- for m in messages %}{{- '<|start_header_id|>' + m.role + "
        "'<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
    ),
    "mistral": "{{- bos_token }}{%- for m in messages %}{{- '[INST]' + m.content + '[/INST]' }}{%- endfor %}",
    "gemma": (
        "{{ bos_token }}{%- for m in messages -%}{{ '<start_of_turn>' + m.role + '\n' + m.content | trim + "
        "'<end_of_turn>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
    ),
}
_SPECIAL = {
    "qwen3": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama": ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|pad|>"],
    "mistral": ["<s>", "</s>", "[INST]", "[/INST]"],
    "gemma": ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"],
    "compact": ["<|end|>", "<|icd10gm|>", "<|tumour|>", *(f"<|icd10gm:{code}|>" for code in COMPACT_CODES)],
}
_NAMED = {
    "qwen3": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    "llama": {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|pad|>"},
    "mistral": {"bos_token": "<s>", "eos_token": "</s>"},
    "gemma": {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>"},
    "compact": {"eos_token": "<|end|>", "pad_token": "<|end|>"},
}


def tiny_tokenizer(family: str) -> Any:
    """A byte-level BPE of about 400 tokens with the family's control tokens and chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(SENTENCES, trainer)
    backend.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL[family]])
    if family == "gemma":
        # Its tokenizer begins every text, and its chat template every conversation.
        begin = ("<bos>", backend.token_to_id("<bos>"))
        backend.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[begin])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **_NAMED[family])
    if family == "qwen3":
        # Qwen's control tokens of this kind are added tokens, but not flagged as special.
        tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    tokenizer.chat_template = _CHAT_TEMPLATES.get(family)
    return tokenizer


def tiny_network(family: str, vocabulary: int, *, seed: int = 0, **changes: Any) -> Any:
    """A random network of two layers. Weights are wide enough that answers differ clearly."""
    from transformers import (
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    classes: dict[str, tuple[Any, Any]] = {
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
        "compact": (Qwen3Config, Qwen3ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
        "mistral": (MistralConfig, MistralForCausalLM),
    }
    config_class, network_class = classes[family]
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.2,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    torch.manual_seed(seed)
    return network_class(config_class(**settings | changes)).eval()


def save_tiny_model(family: str, folder: Path, **changes: Any) -> Path:
    """Writes network and tokenizer as `save_pretrained` does."""
    tokenizer = tiny_tokenizer(family)
    tiny_network(family, len(tokenizer), **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_random_adapter(network: Any, *, seed: int = 1) -> Any:
    """A `PeftModel` with a LoRA adapter that changes the answers (both factors random)."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(network, settings)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    return adapted.eval()


def save_random_adapter(model_folder: Path, folder: Path) -> Path:
    """Writes a random LoRA adapter for a saved model."""
    from transformers import AutoModelForCausalLM

    with_random_adapter(AutoModelForCausalLM.from_pretrained(model_folder)).save_pretrained(folder)
    return folder


def save_tiny_folders(root: Path) -> dict[str, Path]:
    """Folders of a model, of an adapter for it and of an encoder, to be copied and damaged."""
    model = save_tiny_model("qwen3", root / "qwen3")
    return {
        "model": model,
        "adapter": save_random_adapter(model, root / "lora"),
        "bert": save_bert_model(root / "bert"),
    }
