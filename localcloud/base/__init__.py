"""Small helpers without a subject of their own: files, paths, ports, processes, pages, errors that users can cure."""
