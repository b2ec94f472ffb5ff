"""A simulated Last.fm and ListenBrainz on loopback, with a clock, limits and faults.

Written from their published documentation (https://www.last.fm/api, https://listenbrainz.readthedocs.io), but less
reliable than either usually is. `TrueListen` is what somebody really listened to.

    with running_services(clock=clock) as services:
        services.lastfm.account("ana").listen(TrueListen(...))
"""

from myi_pipeline.simulator.services.accounts import ServiceAccount, ServiceFault, ServiceState, TrueListen
from myi_pipeline.simulator.services.server import SimulatedServices, running_services

__all__ = ["ServiceAccount", "ServiceFault", "ServiceState", "SimulatedServices", "TrueListen", "running_services"]
