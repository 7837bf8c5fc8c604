"""What finds faces in a picture."""
