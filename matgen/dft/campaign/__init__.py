"""From a ranking to formation energies and distances to the hull by DFT, in one folder: `matgen dft campaign`."""

from matgen.dft.campaign.plan import CampaignPlan
from matgen.dft.campaign.steps import Campaign, run_campaign

__all__ = ["Campaign", "CampaignPlan", "run_campaign"]
