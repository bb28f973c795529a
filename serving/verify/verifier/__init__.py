"""The program of the verify Job; its module __main__ says what it does. Standard library only."""
