"""What the verbs of the command line do: one module each, and what several of them share. They print nothing."""
