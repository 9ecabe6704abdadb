"""Plain bodies, read by compiled code: what is not surely plain is left to the codecs that know every form."""
