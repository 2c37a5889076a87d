"""Attacks on both servers, each as real processes on 127.0.0.1 that a good caller uses meanwhile.

An attack is one row of a catalogue (``stalls``, ``requests``, ``documents``, ``pictures``,
``mutations``). ``test_attacks`` runs all rows and checks the same promises after each one.
"""
