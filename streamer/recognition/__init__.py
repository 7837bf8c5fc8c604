"""Who a face is: embedders, the gallery, matchers."""
