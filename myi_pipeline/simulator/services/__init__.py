"""A Last.fm and a ListenBrainz on loopback, over the same made-up accounts, with a clock, limits and faults.

Written from their published documentation (https://www.last.fm/api, https://listenbrainz.readthedocs.io), and nastier
than either usually is. What somebody really listened to is known: `TrueListen`.

    with running_services(clock=clock) as services:
        services.lastfm.account("ana").listen(TrueListen(...))
"""

from myi_pipeline.simulator.services.accounts import ServiceAccount, ServiceFault, ServiceState, TrueListen
from myi_pipeline.simulator.services.server import SimulatedServices, running_services

__all__ = ["ServiceAccount", "ServiceFault", "ServiceState", "SimulatedServices", "TrueListen", "running_services"]
