"""The commands of ``detox-bench``, one file each; imported only when invoked."""
