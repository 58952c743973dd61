"""In the path of the real zypper: the commit hook, the guard, apply."""
