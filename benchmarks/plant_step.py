"""What a step of the plant costs: CPU time of a minute and of a second, by number of servers."""

from __future__ import annotations

import argparse
import time

from tapas_opt.domain.site_generator import generate_site
from tapas_opt.domain.topology import topology_of
from tapas_opt.plant.plant import Demand, Plant


def cheapest_ms(plant: Plant, dt_s: float, times: int) -> float:
    """Least CPU time of a step under a load of 60 %."""
    m = plant.machines
    demand = Demand(m.gpu_idle_w + 0.6 * (m.gpu_max_w - m.gpu_idle_w))
    spent = []
    for _ in range(times):
        started = time.process_time()
        plant.step(dt_s, demand)
        spent.append(time.process_time() - started)
    return 1e3 * min(spent)


def main() -> None:
    """One line a site."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", default="80,1000,10000", help="numbers of servers, by comma")
    parser.add_argument("--times", type=int, default=30, help="steps, of which the cheapest counts")
    asked = parser.parse_args()
    for servers in map(int, asked.servers.split(",")):
        plant = Plant(topology_of(generate_site(servers)), seed=1)
        minute, second = (cheapest_ms(plant, dt_s, asked.times) for dt_s in (60.0, 1.0))
        print(f"{servers:>6} servers: {minute:7.2f} ms a minute, {second:7.2f} ms a second")


if __name__ == "__main__":
    main()
