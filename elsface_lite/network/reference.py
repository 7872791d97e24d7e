"""From the names of the authors' released network (FVL2020/ELSFace, commit b5d6608) to ours."""

import re

from torch import Tensor

# Their name -> ours, as patterns over whole keys.
RENAMES = (
    (r"head_x2\.0\.0\.(.*)", r"prepare.head.0.\1"),
    (r"head_x2\.0\.(\d+)\.body\.(.*)", r"prepare.head.\1.body.\2"),
    (r"encoder\.encoder\.4\.3\.(.*)", r"prepare.encoder.to_styles.\1"),
    (r"encoder\.encoder\.(\d+)\.(\d+)\.(.*)", lambda m: f"prepare.encoder.body.{4 * int(m[1]) + int(m[2])}.{m[3]}"),
    (r"cnn_x2_1\.0\.(\d+)\.(.*)", r"cnn.body.\1.\2"),
    (r"patch_embed_1\.norm\.(.*)", r"transformer.norm_in.\1"),
    (r"norm_1\.(.*)", r"transformer.norm_out.\1"),
    (r"conv_after_body_1\.(.*)", r"transformer.conv.\1"),
    (r"layers_1\.0\.conv\.(.*)", r"transformer.rstb.conv.\1"),
    (r"layers_1\.0\.residual_group\.blocks\.(\d+)\.(norm\d\..*)", r"transformer.rstb.layers.\1.\2"),
    (
        r"layers_1\.0\.residual_group\.blocks\.(\d+)\.attn\.relative_position_bias_table",
        r"transformer.rstb.layers.\1.attention.bias_table",
    ),
    (r"layers_1\.0\.residual_group\.blocks\.(\d+)\.attn\.(.*)", r"transformer.rstb.layers.\1.attention.\2"),
    (r"layers_1\.0\.residual_group\.blocks\.(\d+)\.mlp\.fc1\.(.*)", r"transformer.rstb.layers.\1.mlp.0.\2"),
    (r"layers_1\.0\.residual_group\.blocks\.(\d+)\.mlp\.fc2\.(.*)", r"transformer.rstb.layers.\1.mlp.2.\2"),
    (r"t_tail_x2\.0\.(\d+)\.hf_block\.(.*)", r"hfebs.\1.high_pass.\2"),
    (r"t_tail_x2\.0\.(\d+)\.main\.0\.(.*)", r"hfebs.\1.blocks.\2"),
    (r"tail_x2\.0\.0\.0\.(.*)", r"upsample.0.\1"),
    (r"tail_x2\.0\.1\.(.*)", r"upsample.2.\1"),
)
# Entries that hold nothing learned: frozen shifts that the forward pass never calls, and buffers.
IGNORED = re.compile(r"(sub_mean|add_mean)\..*|.*\.(relative_position_index|attn_mask)")
# Their images are BGR: the input axis of the two first convolutions and the output axis of the last one turn around.
BGR_AXIS = {
    "prepare.head.0.weight": 1,
    "prepare.encoder.body.0.weight": 1,
    "upsample.2.weight": 0,
    "upsample.2.bias": 0,
}


def lite_name(name: str) -> str | None:
    """Our name for one of theirs (without the prefix `module.`), or None where there is none."""
    for pattern, replacement in RENAMES:
        match = re.fullmatch(pattern, name)
        if match:
            return replacement(match) if callable(replacement) else match.expand(replacement)
    return None


def to_lite_state_dict(state: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Translates the authors' state dict.

    Args:
        state: tensors under the authors' names; see `ELSFace.load_reference_state_dict` for what is accepted.
        target: the state dict of the model to be loaded, for its keys and shapes.

    Returns:
        A state dict under our names, for RGB images.

    Raises:
        ValueError: names every key that is missing, unexpected or of the wrong shape.
    """
    lite: dict[str, Tensor] = {}
    problems = []
    for key, tensor in state.items():
        name = key.removeprefix("module.")
        if IGNORED.fullmatch(name):
            continue
        ours = lite_name(name)
        if ours not in target:
            problems.append(f"unexpected: {key}")
            continue
        lite[ours] = tensor.flip(BGR_AXIS[ours]) if ours in BGR_AXIS else tensor
        if tensor.shape != target[ours].shape:
            problems.append(f"wrong shape: {key} is {tuple(tensor.shape)}, not {tuple(target[ours].shape)}")
    problems += [f"missing: {key} (by our name)" for key in target if key not in lite]
    if problems:
        raise ValueError("these weights do not fit this network:\n  " + "\n  ".join(problems))
    return lite
