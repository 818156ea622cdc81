"""From photos and boxes to poses, and to pictures of them."""
