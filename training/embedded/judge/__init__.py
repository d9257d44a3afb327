"""The frozen judge: a classifier of painted pictures, taught by two hands' drawings, none of them the painter's."""
