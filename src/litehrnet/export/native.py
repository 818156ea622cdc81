"""Export of a program for the native engine; a safetensors file is compiled without torch."""

from dataclasses import replace
from pathlib import Path

from litehrnet.engine.program import Program
from litehrnet.engine.programfile import read_program, write_program
from litehrnet.io.files import replacing
from litehrnet.runtimes.native import compile_weights


def export_native(weights: Path, path: Path, input_size_wh: tuple[int, int] | None = None) -> Program:
    """Compile weights to a program, write it, and read it again as a check; for arguments see ``compile_weights``.

    Raises:
        UserError: The weights cannot be compiled, or ``path`` cannot be written.
    """
    program, info = compile_weights(weights, input_size_wh)
    with replacing(path) as temporary:
        write_program(temporary, program, replace(info, input_size_wh=program.input_size_wh))
        return read_program(temporary)[0]
