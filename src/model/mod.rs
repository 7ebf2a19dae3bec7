//! Networks: one file per family, one table that names them.
