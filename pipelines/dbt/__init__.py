"""dbt as a tool: where its project is, running it, and the yml of models that follows from table schemas.

Does not live here: the models (`dbt_project/`), what a build computes (`build/`).
"""
