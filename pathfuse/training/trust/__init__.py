"""Trust in recipes: which classes they may name, and where what they name may write."""
