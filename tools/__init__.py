"""The project's environment and its locks: plain Python, since it runs before there is one."""
