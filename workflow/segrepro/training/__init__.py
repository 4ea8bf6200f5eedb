"""Input pipeline, augmentation, losses, schedules, trainer."""
