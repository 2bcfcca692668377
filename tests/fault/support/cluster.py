"""Three brokers, of which tests harm one at a time, or all."""

import re
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.kafka import Kafka, KafkaNode
from service.runtime.kafka.stop import stop_client


class Cluster:
    """Three nodes, each a broker and a controller."""

    def __init__(self, folder: Path) -> None:
        self.kafka = Kafka(folder)
        self._folder = folder

    def controller(self) -> KafkaNode:
        """The node that was the last to become the active controller."""
        return max(self.kafka.nodes, key=self._became_controller)

    def _became_controller(self, node: KafkaNode) -> int:
        log = (self._folder / f"node-{node.node_id}" / "kafka.log").read_text()
        epochs = re.findall(r"Becoming the active controller at epoch (\d+)", log)
        return max(map(int, epochs), default=0)

    def victim(self, *, controller: bool) -> KafkaNode:
        """A node to harm: the active controller, or another."""
        active = self.controller()
        return active if controller else next(node for node in self.kafka.nodes if node is not active)

    def others(self, lost: KafkaNode) -> str:
        """Bootstrap servers without a node."""
        return ",".join(node.address for node in self.kafka.nodes if node is not lost)

    async def coordinator(self, group: str) -> KafkaNode:
        """The node that coordinates a group."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        try:
            found = await admin.find_coordinator(group)
        finally:
            await stop_client(admin, 1)
        return next(node for node in self.kafka.nodes if node.node_id == found)
