class Native:
    def __init__(self, engine): self.engine=engine
    def ready(self,*a): return False
    def run_table(self,*a): return False
    def explain(self): return ""
