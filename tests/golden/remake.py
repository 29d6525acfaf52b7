"""Write the golden listings again: ``python -m tests.golden.remake``, then look at what changed."""

from mapping.compiler import compile_network
from systolic.spec.config import ArrayConfig
from tests.mapping.test_compiler import GOLDEN, small_network


def main() -> None:
    """Write every listing."""
    program = compile_network(small_network(), ArrayConfig(rows=8, cols=4), name="small")
    GOLDEN.write_text("\n".join(program.listing()) + "\n")


if __name__ == "__main__":
    main()
