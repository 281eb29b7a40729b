"""How drawn rows compare with the table that their model learned: likeness, copies, and what they give away."""
