"""Chat models behind one interface: in this process, on a server, with eyes."""
