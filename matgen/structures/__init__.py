"""Crystal structures for compositions: proposed from known ones, relaxed by a universal potential."""
