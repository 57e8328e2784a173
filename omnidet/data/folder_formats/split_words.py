"""Words for a part of a dataset, and the one that is used here."""

from __future__ import annotations

_WORDS = {
    "train": "train training trainval restval",
    "val": "val valid validation dev minival",
    "test": "test testing eval evaluation holdout",
}
"""As tools write them."""
_ELSEWHERE = {
    "train": "entrenamiento entrainement entraînement apprentissage treinamento treino "
    "addestramento обучение тренировка 训练 训练集 訓練 訓練集 学習 학습 훈련",
    "val": "validacion validación validacao validação validierung validazione валидация "
    "验证 验证集 驗證 驗證集 検証 검증",
    "test": "prueba pruebas teste prova тест тестирование 测试 测试集 測試 測試集 テスト 테스트",
}
"""As people call the folders in Spanish, French, Portuguese, Italian, German, Russian, Chinese,
Japanese and Korean: pictures of an unknown test would be trained on.
"""
SPLITS = {
    word: split
    for table in (_WORDS, _ELSEWHERE)
    for split, words in table.items()
    for word in words.split()
}
"""The split behind each word, in lower case and composed Unicode."""
