"""Reader of mmpose configs: one module per part, ``reader`` joins the parts."""
