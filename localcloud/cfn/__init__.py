"""CloudFormation resource types that ministack lacks or does in memory only; each module registers its
own.
"""
