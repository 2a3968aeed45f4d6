"""What is measured of molecules, of batches of them, and of the corpora they are compared with."""
