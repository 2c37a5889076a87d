"""The actions of ``serving-gateway models`` that change or compare versions."""
