"""One model version behind its API: started, changed while it answers, tested."""
