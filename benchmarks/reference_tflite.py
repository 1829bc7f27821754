"""TensorFlow Lite files of the authors' networks, and what their graphs answer in floating point.

Runs in the environment of `benchmarks/reference_tensorflow.py` with `ai-edge-litert` on top, and imports nothing of
ours but that script's weights:

    python benchmarks/reference_tflite.py make FOLDER [NAME ...]     files and numbers: names of `FILES`, default all
    python benchmarks/reference_tflite.py small FOLDER               those of tests/assets/tflite
    python benchmarks/reference_tflite.py numbers FILE OUT.npz       of a file of any kind

`numbers` rewrites the flatbuffer: constants dequantised, all tensors float32, QUANTIZE and DEQUANTIZE taken out.
LiteRT's interpreter computes what is left on 16 frames from a seed; of the file as it is, its likeliest classes are
kept, and of the states 64 values each.
"""

import dataclasses
import os
import sys
import tempfile
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # the authors' code is written for Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

FRAMES = 16


@dataclasses.dataclass(frozen=True)
class File:
    """One file to make: of which network, in which form, how the numbers are stored."""

    network: str
    kind: str = "stream"  # or "base", or "causal" for a stream network that takes whole clips, without states
    stored: str = "float32"  # or float16, dynamic (int8 weights), int8
    convolution: str = "2plus1d"
    squeeze: str = ""
    activation: str = ""
    gate: str = ""
    dense: str = "simple_swish"
    positions: bool = False
    classes: int = 600
    frames: int = 1
    size: int = 172
    flex: bool = False


SMALL = {"classes": 5, "size": 32}
CLIP = {"kind": "base", "frames": 4}
FILES = {
    "small_stream": File("small", positions=True, **SMALL),
    "small_stream_int8": File("small", stored="int8", **SMALL),
    "small_stream_2021": File("small", stored="dynamic", gate="2021", dense="hard_swish", **SMALL),
    "small_base": File("small", convolution="3d", flex=True, **CLIP, **SMALL),
    "small_base_float16": File("small", stored="float16", **CLIP, **SMALL),
    "small_chunks": File("small", frames=4, positions=True, **SMALL),
    "small_causal": File("small", kind="causal", frames=6, **SMALL),
    "small_causal_3d": File("small", kind="causal", frames=6, convolution="3d", flex=True, positions=True, **SMALL),
    "small_stream_3d": File("small", convolution="3d_2plus1d", squeeze="3d", flex=True, **SMALL),
    "small_frames": File("small", squeeze="2d", activation="relu6", dense="relu6", **SMALL),
    "small_tiled": File("small", squeeze="2plus3d", stored="float16", **CLIP, **SMALL),
    "small_any_length": File("small", kind="base", frames=0, **SMALL),
    **{
        f"a0_{kind}_{stored}": File("a0", kind, stored, frames=8 if kind == "base" else 1)
        for kind in ("base", "stream")
        for stored in ("float32", "float16")
    },
    "a0_base_3d": File("a0", "base", convolution="3d", frames=8, flex=True),
    "a0_stream_dynamic": File("a0", stored="dynamic", classes=7),
    "a0_stream_int8": File("a0", stored="int8", classes=7),
    "a3_stream": File("a3", positions=True, size=64),
    "a5_base": File("a5", "base", "float16", frames=2, size=64),
}
KEPT = ("small_stream", "small_stream_int8", "small_stream_2021", "small_base", "small_base_float16")


def make(file: File, path: Path) -> dict[str, np.ndarray]:
    """Writes a file, and gives what TensorFlow itself answers for a whole clip."""
    import tensorflow as tf
    import tf_keras
    from official.projects.movinet.modeling import movinet, movinet_model

    sys.path.insert(0, str(Path(__file__).parent))
    import reference_tensorflow

    movinet.BLOCK_SPECS["small"] = reference_tensorflow.SMALL
    causal, external = file.kind != "base", file.kind == "stream"
    gate = file.gate or ("hard_sigmoid" if causal else "sigmoid")
    shape = (1, file.frames or None, file.size, file.size, 3)
    spec = tf_keras.layers.InputSpec(shape=shape)
    backbone = movinet.Movinet(
        model_id=file.network,
        causal=causal,
        use_positional_encoding=file.positions,
        conv_type=file.convolution,
        se_type=file.squeeze or ("2plus3d" if causal else "3d"),
        input_specs=spec,
        activation=file.activation or ("hard_swish" if causal else "simple_swish"),
        gating_activation=tf_keras.activations.hard_sigmoid if gate == "2021" else gate,
        use_external_states=external,
    )
    model = movinet_model.MovinetClassifier(
        backbone,
        num_classes=file.classes,
        output_states=external,
        input_specs={"image": spec},
        activation=file.dense,
    )
    concrete = [n or 1 for n in shape]
    model.build(concrete)
    for number, variable in enumerate(model.variables):
        name = f"{number}/{variable.name.removesuffix(':0')}"
        variable.assign(reference_tensorflow.live_value(name, variable.shape.as_list()))
    if external:
        image = tf.ones(concrete)
        _, states = model({**model.init_states(concrete), "image": image})
        model({**states, "image": image})
        specs = {key: tf.TensorSpec(s.shape, s.dtype, key) for key, s in model.initial_state_specs(shape).items()}
    else:
        specs = {}
    specs["image"] = tf.TensorSpec(shape, tf.float32, "image")

    def answer(inputs):
        if not external:
            return {"logits": model(inputs, training=False)}
        logits, states = model(inputs)
        return {**states, "logits": logits}

    function = tf.function(answer, jit_compile=external).get_concrete_function(specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    sets = tf.lite.OpsSet
    if file.flex:
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS, sets.SELECT_TF_OPS]
    if file.stored != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if file.stored == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if file.stored == "int8":

        def calibration():
            state = {key: np.zeros([n or 1 for n in s.shape], s.dtype.as_numpy_dtype) for key, s in specs.items()}
            chance = np.random.default_rng(0)
            for _ in range(8):
                state["image"] = chance.random(concrete, dtype=np.float32)
                yield {key: np.array(value) for key, value in state.items()}
                state |= {key: value.numpy() for key, value in answer(state).items() if key != "logits"}

        converter.representative_dataset = calibration
    path.write_bytes(converter.convert())
    frames = file.frames or 4
    image = frames_of((1, FRAMES if external else frames, file.size, file.size, 3))
    if not external:
        return {"logits": model({"image": image}, training=False).numpy()}
    state, logits = {key: tf.zeros([n or 1 for n in s.shape], s.dtype) for key, s in specs.items()}, []
    for first in range(0, FRAMES, frames):
        found = answer({**state, "image": tf.constant(image[:, first : first + frames])})
        logits.append(found["logits"].numpy())
        state = {key: value for key, value in found.items() if key != "logits"}
    return {"logits": np.stack(logits, 1)} | {key: value.numpy() for key, value in state.items()}


def frames_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def floating(data: bytes) -> bytes:
    """The same graph in float32: constants dequantised, QUANTIZE and DEQUANTIZE taken out."""
    model = schema.ModelT.InitFromPackedBuf(data, 0)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    moves = (schema.BuiltinOperator.QUANTIZE, schema.BuiltinOperator.DEQUANTIZE)
    types = schema.TensorType
    numbers = {types.INT8: np.int8, types.UINT8: np.uint8, types.INT32: np.int32, types.INT64: np.int64}
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        stored, quantised = model.buffers[tensor.buffer].data, tensor.quantization
        scale = quantised.scale if quantised is not None else None
        if tensor.type == types.FLOAT16:
            if stored is not None:
                values = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.float16).astype(np.float32)
                tensor.buffer = constant(model, values)
            tensor.type = types.FLOAT32
        elif scale is not None and len(scale) and tensor.type in numbers:
            if stored is not None and len(stored):
                values = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), numbers[tensor.type])
                values = values.reshape(tensor.shape).astype(np.float64)
                along = [1] * values.ndim
                if len(scale) > 1:
                    along[quantised.quantizedDimension] = len(scale)
                zero, factor = (np.asarray(n, np.float64) for n in (quantised.zeroPoint, scale))
                if values.ndim:
                    zero, factor = zero.reshape(along if len(zero) > 1 else [1]), factor.reshape(along)
                tensor.buffer = constant(model, ((values - zero) * factor).astype(np.float32))
            tensor.type = types.FLOAT32
        tensor.quantization = None
    same = {}  # what a tensor is once the moves are gone
    kept = []
    for operator in graph.operators:
        operator.inputs = np.array([same.get(int(i), int(i)) for i in operator.inputs], np.int32)
        if codes[operator.opcodeIndex] in moves:
            same[int(operator.outputs[0])] = int(operator.inputs[0])
        else:
            kept.append(operator)
    graph.operators = kept
    graph.outputs = np.array([same.get(int(i), int(i)) for i in graph.outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = same.get(entry.tensorIndex, entry.tensorIndex)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def constant(model, values: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def answers(data: bytes) -> dict[str, np.ndarray]:
    """Logits after each step [1, steps, classes] and the last state, or logits of a clip; by LiteRT's interpreter."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(data)
        file.flush()
        interpreter = Interpreter(model_path=file.name, num_threads=1)
    runner = interpreter.get_signature_runner()
    inputs = runner.get_input_details()
    _, frames, height, width, channels = (int(n) for n in inputs["image"]["shape"])
    if len(inputs) == 1:
        return {"logits": runner(image=frames_of((1, frames, height, width, channels)))["logits"]}
    image, logits = frames_of((1, FRAMES, height, width, channels)), []
    state = {name: np.zeros(one["shape"], one["dtype"]) for name, one in inputs.items() if name != "image"}
    for first in range(0, FRAMES, frames):
        found = runner(image=image[:, first : first + frames], **state)
        logits.append(found["logits"])
        state = {name: found[name] for name in state}
    return {"logits": np.stack(logits, 1), **state}


def thinned(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits whole; of each state its length as a vector, then 64 of its values."""
    result = {"logits": found["logits"]}
    for name, values in found.items():
        if name != "logits":
            flat = values.reshape(-1).astype(np.float64)
            some = flat[:: max(1, flat.size // 64)][:64]
            result[name] = np.concatenate([[np.linalg.norm(flat)], some]).astype(np.float32)
    return result


def main(words: list[str]) -> None:
    if words[0] == "numbers":
        data = Path(words[1]).read_bytes()
        np.savez_compressed(words[2], **thinned(answers(floating(data))), as_it_is=answers(data)["logits"].argmax(-1))
        return
    folder = Path(words[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in KEPT if words[0] == "small" else words[2:] or FILES:
        path = folder / f"{name}.tflite"
        found = make(FILES[name], path)
        if not FILES[name].flex and FILES[name].frames:  # LiteRT has no operators of TensorFlow itself
            found = answers(floating(path.read_bytes()))
        np.savez_compressed(path.with_suffix(".npz"), **found)
        print(path, f"{path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
