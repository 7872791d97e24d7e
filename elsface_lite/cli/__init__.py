"""The program `elsface-lite`: arguments and printing, nothing else. Nobody imports it."""
