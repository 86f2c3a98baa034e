from collections import Counter
import tests.test_stateful as t
from tests.test_stateful import *
C=Counter()
def test_stats(migrated, folder):
    old=t.LedgerMachine._expected
    def exp(self,u,w):
        r=old(self,u,w)
        C["checks"]+=1; C[f"step {self.step_yuan}"]+=1
        for p in r:
            C[p.status]+=1
            if p.measure=="retail-growth": C[f"retail at {self.step_yuan}"]+=1
            for b in p.bound_by: C[b]+=1
            C[p.stage]+=1
        return r
    t.LedgerMachine._expected=exp
    t.test_any_run_of_the_ledger_ends_where_article_14_says(migrated, folder)
    print(C, t.LedgerMachine.runs)
    assert 0
del test_any_run_of_the_ledger_ends_where_article_14_says
