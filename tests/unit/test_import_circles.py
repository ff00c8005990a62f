"""No two packages import each other: neither two neighbours, nor a package and one inside it."""

from graphlib import TopologicalSorter

import grimp


def test_packages_import_each_other_in_one_direction() -> None:
    graph = grimp.build_graph("src", cache_dir=None)
    packages = {name.rpartition(".")[0] for name in graph.modules} - {""}

    def package_of(module: str) -> str:
        return module if module in packages else module.rpartition(".")[0]

    imported: dict[str, set[str]] = {package: set() for package in packages}
    for module in graph.modules:
        package = package_of(module)
        uses = map(package_of, graph.find_modules_directly_imported_by(module))
        imported[package] |= {other for other in uses if other != package}
    TopologicalSorter(imported).prepare()  # CycleError names the packages of a circle
