"""A small random model of every architecture of the table, on the CPU, in float32."""

from typing import Any

WIDTH, NEURONS, LAYERS, VOCABULARY = 16, 24, 3, 257

#: What configurations call their sizes; each takes those it has.
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "n_embd": WIDTH,
    "d_model": WIDTH,
    "word_embed_proj_dim": WIDTH,
    "intermediate_size": NEURONS,
    "ffn_hidden_size": NEURONS,
    "ffn_dim": NEURONS,
    "n_inner": NEURONS,
    "expansion_ratio": 2,
    "num_hidden_layers": LAYERS,
    "num_layers": LAYERS,
    "n_layer": LAYERS,
    "n_layers": LAYERS,
    "num_attention_heads": 2,
    "attention_heads": 2,
    "num_heads": 2,
    "n_head": 2,
    "n_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "rotary_dim": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.5,
    "init_std": 0.5,
    "pad_token_id": None,
    "bos_token_id": 256,
    "eos_token_id": 256,
    "dropout": 0.0,
}
#: What some need besides.
_ALSO: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global"], LAYERS]], "attention_layers": ["global"] * LAYERS},
    "olmo3": {"sliding_window": 64},
    "codegen": {"n_head": 4, "n_embd": 32, "rotary_dim": 4},
}


def tiny(model_type: str, seed: int = 0, **settings: Any) -> Any:
    """Return a random model of ``model_type`` in evaluation mode, ``settings`` in its config."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type)
    for part in {id(each): each for each in (config, config.get_text_config())}.values():
        _shrink(part, model_type)
        for name, value in settings.items():
            if hasattr(part, name):
                setattr(part, name, value)
    vision = getattr(config, "vision_config", None)
    if vision is not None:
        _shrink(vision, "")
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()


def _shrink(config: Any, model_type: str) -> None:
    for name, value in {**_SIZES, **_ALSO.get(model_type, {})}.items():
        target = config.attribute_map.get(name, name)
        computed = isinstance(getattr(type(config), target, None), property)
        if hasattr(config, target) and not computed:
            setattr(config, target, value)
    if getattr(config, "layer_types", None):
        config.layer_types = ["full_attention"] * LAYERS
