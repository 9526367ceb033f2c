"""Check what a machine can check of the rules of the house: sizes, names of rooms, docstrings, vocabulary.

python .ci/house_lint.py             # every breach, exit status 1 if there is any
python .ci/house_lint.py --counts    # the counts alone, as JSON; also of an older checkout: --counts --root DIR
python .ci/house_lint.py PATH ...    # only breaches in these files or folders
"""

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from pathlib import Path

PACKAGES = ("data_prep", "pretext", "downstream", "spectral_ssl")
SCRIPTS = ("benchmarks", ".ci")  # only docstrings and vocabulary are checked here
MOST_MODULES = 12  # in a folder, without __init__.py
MOST_CODE_LINES = 400  # in a file, without docstrings, comments and empty lines
MOST_FUNCTION_LINES = 60  # the same, in a function
MOST_FIELDS = 12  # of a config, at its top
FEWEST_LINES = 45  # of a module that is no plug-in
PLUG_INS = (
    "data_prep/sources/",
    "pretext/tasks/",
    "pretext/methods/",
    "downstream/report/sections/",
    "downstream/metrics/",
    "downstream/figures/",
    "spectral_ssl/verbs/",
    "spectral_ssl/__main__.py",
)
HERE = Path(__file__).parent
# first words of docstrings; a verb that is missing may be added
VERBS = frozenset((Path(__file__).parent / "verbs.txt").read_text().split())
# a word of the old dialect -> what the glossary (docs/language.md) has in its place
GLOSSARY = {
    r"cost(s|ing)? nothing|what is free": "baseline that needs no training",
    r"couples?": "pair",
    r"pictures?": "image",
    r"put aside": "held out",
    r"drawing": "random number generation",
    r"watch(es|ed|er|ing)?": "feature statistics, monitor",
    r"descents?": "optimisation step",
    r"judge(s|d|ment|ments)?": "evaluate, score, classifier",
    r"beside": "next to, with",
    r"shall": "must, should",
    r"answer(s|ed|ing)?": "prediction, sample, completion",
    r"questions?": "condition, input",
    r"gone on with|told to stop": "resumed, interrupted",
    r"place of (the|this|each) process|process's place": "rank",
    r"running mean": "exponential moving average",
    r"with a gradient": "requires gradient",
}
# files where such a word is a key of a file, a setting, or has its plain meaning (people answer questions of a study)
ALLOWED = json.loads((HERE / "house_lint.json").read_text()) if (HERE / "house_lint.json").is_file() else {}


def python_files(root: Path, folders: tuple[str, ...] = PACKAGES) -> list[Path]:
    """List the modules in some folders; by default, those of the product."""
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def code_lines(text: str, first: int = 1, last: int | None = None) -> int:
    """Count the lines from ``first`` to ``last`` that hold code: no docstrings, comments, empty lines."""
    last = last or text.count("\n") + 1
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            continue
        lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return sum(first <= line <= last for line in lines)


def prose(text: str) -> list[tuple[int, str]]:
    """List comments, docstrings and other texts of a module, with their lines; a text of one word is a key."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            found.append((token.start[0], token.string))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) > 1:
            found.extend((node.lineno + at, line) for at, line in enumerate(node.value.split("\n")))
    return found


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a function is an attribute to its users."""
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def breaches(root: Path) -> list[tuple[str, str, str]]:
    """Find (kind, place, message) for everything that breaks a rule."""
    found: list[tuple[str, str, str]] = []
    folders: Counter[str] = Counter()
    for path in python_files(root):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        if path.name != "__init__.py":
            folders[path.parent.relative_to(root).as_posix()] += 1
            lines = text.count("\n")
            if lines < FEWEST_LINES and not name.startswith(PLUG_INS):
                found.append(("small file", name, f"{lines} lines: join it to a neighbour"))
            if path.stem == path.parent.name:
                found.append(("repeated name", name, "repeats its folder's name"))
        lines = code_lines(text)
        if lines >= MOST_CODE_LINES:
            found.append(("long file", name, f"{lines} lines of code"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = code_lines(text, node.lineno, node.end_lineno)
                if lines >= MOST_FUNCTION_LINES:
                    found.append(("long function", f"{name}:{node.lineno}", f"{node.name}: {lines} lines of code"))
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
                fields = sum(isinstance(part, ast.AnnAssign) for part in node.body)
                if fields > MOST_FIELDS:
                    found.append(("fields", f"{name}:{node.lineno}", f"{node.name}: {fields} fields at its top"))
    for path in python_files(root, PACKAGES + SCRIPTS):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        found.extend(docstrings(name, ast.parse(text)))
        found.extend(words(name, prose(text)))
    found.extend(("modules", folder, f"{count} modules") for folder, count in folders.items() if count > MOST_MODULES)
    for path in [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]:
        name = path.relative_to(root).as_posix()
        lines = enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
        found.extend(words(name, [(at, line) for at, line in lines if not line.startswith("    ")]))
    return found


def docstrings(name: str, tree: ast.Module) -> list[tuple[str, str, str]]:
    """Find functions whose docstring does not begin with a verb."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node)
            if doc and not is_property(node) and doc.split()[0].rstrip(",;:") not in VERBS:
                found.append(("docstring", f"{name}:{node.lineno}", f"begins with {doc.split()[0]!r}, not a verb"))
    return found


def words(name: str, lines: list[tuple[int, str]]) -> list[tuple[str, str, str]]:
    """Find words of the old dialect in lines of prose; what stands in ``back ticks`` is a name and may stay."""
    found = []
    allowed = [word for prefix, list_ in ALLOWED.items() if name.startswith(prefix) for word in list_]
    for line, text in lines:
        plain = re.sub(r"`[^`]*`", "", text)
        for word, better in GLOSSARY.items():
            for match in re.finditer(rf"(?<![\w/.-])(?:{word})(?![\w/-])", plain, re.IGNORECASE):
                if match.group(0).lower() not in allowed:
                    found.append(("word", f"{name}:{line}", f"{match.group(0)!r}: write {better}"))
    return found


def method_tests(files: dict[Path, ast.Module]) -> int:
    """Count ``isinstance`` tests of a method's or a task's class or config outside its own files."""
    owners = {
        node.name: path
        for path, tree in files.items()
        if path.as_posix().find("/pretext/") >= 0 and any(name.endswith("Config") for name in classes(tree))
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name != "TrainConfig"
    }
    return sum(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) == "isinstance"
        and any(owners.get(word, path) != path for word in re.findall(r"\w+", ast.unparse(node.args[1])))
        for path, tree in files.items()
        if "/pretext/methods/" not in path.as_posix() and "/pretext/tasks/" not in path.as_posix()
        for node in ast.walk(tree)
    )


def classes(tree: ast.Module) -> list[str]:
    """List the names of the classes of a module."""
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def spellings(files: dict[Path, ast.Module], option: str) -> int:
    """Count the parameters and fields of a name in the face: how often an option of ``prep`` is written down."""
    return sum(
        (isinstance(node, ast.arg) and node.arg == option)
        or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == option)
        or (isinstance(node, ast.keyword) and node.arg == option)
        or (isinstance(node, ast.Constant) and node.value == option)
        for path, tree in files.items()
        if "/spectral_ssl/" in path.as_posix()
        for node in ast.walk(tree)
    )


def counts(root: Path) -> dict[str, int]:
    """Count breaches by kind, and the extremes."""
    found = Counter(kind for kind, _, _ in breaches(root))
    files = python_files(root)
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    trees = {path.resolve(): ast.parse(text) for path, text in texts.items()}
    functions = [
        code_lines(text, node.lineno, node.end_lineno)
        for text in texts.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    ]
    configs = [
        sum(isinstance(part, ast.AnnAssign) for part in node.body)
        for text in texts.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Config")
    ]
    modules = Counter(path.parent for path in files if path.name != "__init__.py")
    return {
        "most modules in a folder": max(modules.values()),
        "lines of code of the longest file": max(code_lines(text) for text in texts.values()),
        "lines of code of the longest function": max(functions),
        "functions of 60 lines of code and more": found["long function"],
        "most fields of a config": max(configs),
        "times that the option --scheduler of prep is spelled": spellings(trees, "scheduler"),
        "isinstance tests of methods and tasks outside their files": method_tests(trees),
        "docstrings that do not begin with a verb": found["docstring"],
        "words that the glossary replaces": found["word"],
        "modules of under 45 lines that are no plug-ins": found["small file"],
    }


def main() -> None:
    """Print breaches or counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--root", type=Path, default=HERE.parent)
    arguments = parser.parse_args()
    if arguments.counts:
        print(json.dumps(counts(arguments.root), indent=1))
        return
    found = [
        entry
        for entry in breaches(arguments.root)
        if not arguments.paths or entry[1].startswith(tuple(arguments.paths))
    ]
    for kind, place, message in found:
        print(f"{place}: {kind}: {message}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
