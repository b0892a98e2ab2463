"""Run by Python before a script of glassq py: has multiprocessing.managers use Glassq when it is imported.

Nothing else changes, and nothing is imported that the script does not import. A sitecustomize of the
machine's own runs, too. This file is read by Python 2 as well, which it refuses.
"""
import os
import sys


def _install():
    if sys.version_info < (3, 6):
        sys.stderr.write('glassq py: Python %d.%d is too old, it takes 3.6 or newer; name one with --python\n'
                         % sys.version_info[:2])
        raise SystemExit(2)
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec
    here = os.path.dirname(os.path.abspath(__file__))

    class Finder(object):
        """Wraps the loader of one module."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != 'multiprocessing.managers':
                return None
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                load = spec.loader.exec_module

                def exec_module(module):
                    load(module)
                    import glassq_managers
                    glassq_managers.install(module)
                spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder)
    spec = PathFinder.find_spec('sitecustomize', [p for p in sys.path if os.path.abspath(p) != here])
    if spec is not None and spec.loader is not None:
        other = module_from_spec(spec)
        sys.modules['sitecustomize'] = other
        spec.loader.exec_module(other)


if 'GLASSQ_PY' in os.environ:
    _install()
