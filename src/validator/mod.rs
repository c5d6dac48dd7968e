//! Pure checks of candidate values, one per file. (in the making)
