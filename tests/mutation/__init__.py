"""The mutation run: how many changes of the kernel do its tests notice?"""
