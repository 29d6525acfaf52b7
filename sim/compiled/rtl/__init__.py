"""From a netlist to an order of evaluation; knows neither C nor how models are run."""
