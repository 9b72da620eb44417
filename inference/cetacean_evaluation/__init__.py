"""How well a model does on a labelled split of pictures, computed through the pipeline that serves.

`manifest` reads the split, `scoring` runs the pipeline over it (it alone needs torch), `figures` and `thresholds` are
pure arithmetic on the scores, `report` and `plots` show them, `commands` are what people call.
"""
