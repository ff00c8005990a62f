"""What spoils a clean image: nn.Modules called as (clean, generator)."""
