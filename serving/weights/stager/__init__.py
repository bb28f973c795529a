"""The program of the staging Job; its module __main__ says what it reads. Standard library only."""
